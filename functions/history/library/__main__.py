"""The function /history/library: completed generations, to look at."""

from generation_history.api.app import handler
from history.library import list_library

main = handler(list_library.router)
