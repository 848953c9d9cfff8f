"""The old name of generation_history.record.generation_manager, for callers that import it so."""

from generation_history.record.generation_manager import GenerationManager as GenerationManager
