"""The dialect of Anthropic: messages with structured output, thinking and effort stated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from affectlake.prompts import MEDIA_SYSTEM, SCHEMA, SYSTEM, Ending
from resources.agents.service.media import Medium
from resources.agents.service.wire import Clients, Prompt, Questions, Reply, Wire, at, count_at, judged, text_at
from resources.study import AnthropicModel, Profile

if TYPE_CHECKING:
    import httpx2

BASE_URL = "https://api.anthropic.com"
"""Stated here so that no variable of the environment sends the key elsewhere."""

_ENDINGS: dict[str, Ending] = {
    "end_turn": "complete",
    "stop_sequence": "complete",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}


class AnthropicWire(Wire):
    """Questions as messages with a JSON schema for the answer.

    Parameters
    ----------
    settings : AnthropicModel
        The model's section of the study file.
    profile : Profile
        Where to ask.
    key : str
        The key itself.
    """

    def __init__(self, settings: AnthropicModel, profile: Profile, key: str) -> None:
        import anthropic

        super().__init__(profile, key)
        self.settings = settings

        def client(http: httpx2.AsyncClient, timeout: httpx2.Timeout) -> anthropic.AsyncAnthropic:
            return anthropic.AsyncAnthropic(
                api_key=key,
                # this SDK adds /v1 by itself, while profiles of other servers are written with it
                base_url=(profile.base_url or BASE_URL).rstrip("/").removesuffix("/v1"),
                max_retries=0,
                timeout=timeout,
                # it would tell the server which trace of ours it belongs to
                open_telemetry=False,
                http_client=http,
            )

        self.clients = Clients(client, profile)

    async def close(self) -> None:
        """Close the connections."""
        await self.clients.close()

    async def _send(self, questions: Questions) -> httpx2.Response:
        (question,) = questions
        return await self.clients.post("/v1/messages", self.request(question.prompt()), question.key)

    def request(self, prompt: Prompt) -> dict[str, Any]:
        """Body of the request that puts one question."""
        settings = self.settings
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if settings.effort is not None:
            output["effort"] = settings.effort
        return {
            "model": settings.model,
            "max_tokens": settings.max_tokens,
            "system": MEDIA_SYSTEM if prompt.clips else SYSTEM,
            "messages": [{"role": "user", "content": _content(prompt)}],
            "output_config": output,
            "thinking": {"type": settings.thinking},
        }

    def _read(self, body: dict[str, Any]) -> Reply | None:
        content, stop = at(body, "content"), text_at(body, "stop_reason")
        if not isinstance(content, list) or stop is None:
            return None
        text = "".join(text_at(block, "text") or "" for block in content if at(block, "type") == "text")
        return judged(
            text,
            _ENDINGS.get(stop, "invalid"),
            model=text_at(body, "model"),
            tokens_in=count_at(body, "usage", "input_tokens"),
            tokens_out=count_at(body, "usage", "output_tokens"),
        )


def _content(prompt: Prompt) -> str | list[dict[str, Any]]:
    if not prompt.clips:
        return prompt.text
    parts: list[dict[str, Any]] = []
    for line, media in prompt.clips:
        parts += [{"type": "text", "text": line}, *map(_image, media)]
    return [*parts, {"type": "text", "text": prompt.text}]


def _image(medium: Medium) -> dict[str, Any]:
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": medium.mime, "data": medium.base64()},
        # scaled down in silence it would be another stimulus
        "transformations": {"oversized_image": "error"},
    }
