"""Those who judge: one module a kind of agent, one protocol for all (:mod:`resources.agents.protocol`).

Recorded judgments (:mod:`resources.agents.recorded`) and feature spaces (:mod:`resources.agents.features`) are not
asked anything and have functions of their own.
"""

from __future__ import annotations

from affectlake.errors import AgentError
from resources.agents.protocol import Agent, Stimuli
from resources.study import AnthropicModel, AnyModel, OpenAIModel, RatingsModel, SimulatedModel, Study, TextModel


def build_agent(settings: AnyModel, stimuli: Stimuli, study: Study, spent_usd: float = 0.0) -> Agent:
    """The agent of one model of the study.

    Parameters
    ----------
    settings : AnyModel
        The model's section of the study file.
    stimuli : Stimuli
        What it may perceive.
    study : Study
        The study.
    spent_usd : float
        What the model has cost in earlier runs.

    Returns
    -------
    Agent
        Ready to judge. Models are loaded when the first question comes.

    Raises
    ------
    AgentError
        The agent has nothing that it could perceive, lacks an installed package, or is not asked at all.
    InputError
        A file that it needs is wrong.
    """
    if isinstance(settings, RatingsModel):
        from resources.agents.ratings import RatingsAgent

        return RatingsAgent(settings, stimuli)
    if isinstance(settings, SimulatedModel):
        from resources.agents.simulated import SimulatedAgent

        return SimulatedAgent(settings, stimuli, study)
    if isinstance(settings, TextModel):
        from resources.agents.text import TextAgent

        return TextAgent(settings, stimuli, study)
    if isinstance(settings, OpenAIModel | AnthropicModel):
        from resources.agents.service.agent import ServiceAgent

        return ServiceAgent(settings, stimuli, study, spent_usd)
    raise AgentError(f"an agent of kind {settings.agent!r} is not asked questions", where=f"model {settings.name}")
