"""The old name of generation_history.pipeline_integrator, for callers that import it so."""

from generation_history.pipeline_integrator import PipelineIntegrator as PipelineIntegrator
