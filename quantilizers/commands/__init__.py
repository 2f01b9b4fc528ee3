"""The programs' command lines. A missing library is reported here, before anything that needs it is imported."""

from quantilizers.programs import require_libraries

require_libraries()
