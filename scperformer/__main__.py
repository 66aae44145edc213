"""`python -m scperformer`."""

import sys

from scperformer.cli.main import main

sys.exit(main())
