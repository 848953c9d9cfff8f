"""The old name of generation_history.generation_manager, for callers that import it so."""

from generation_history.generation_manager import GenerationManager as GenerationManager
