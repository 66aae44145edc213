"""What is still to be delivered, how far each stream has come, and live outputs."""
