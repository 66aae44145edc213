"""The picker's core: pure numpy and scipy, no framework, no file format, no clock."""
