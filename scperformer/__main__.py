"""`python -m scperformer`."""

import sys

from scperformer.entry import main

sys.exit(main())
