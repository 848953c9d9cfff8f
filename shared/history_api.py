"""The old import name of register_history_api."""

from generation_history.api.flask_adapter import register_history_api as register_history_api
