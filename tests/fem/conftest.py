"""Let the tests of this folder import what they share, however pytest is started."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
