"""The programs: what they take, and how they end. Without the libraries that all of them need, that is at once."""

from quantilizers.programs import require_libraries

require_libraries()
