"""The function /history/library: completed generations, to look at."""

from generation_history.endpoint import handler
from history.library import list_library

main = handler(list_library.router)
