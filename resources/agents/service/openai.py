"""The dialect of OpenAI, which vLLM, llama.cpp, Ollama, SGLang and LM Studio speak as well: chat and responses."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from affectlake.prompts import LABELS, MEDIA_SYSTEM, SCHEMA, SYSTEM, Ending
from resources.agents.service.media import Medium
from resources.agents.service.wire import (
    Clients,
    Prompt,
    Questions,
    Reply,
    Wire,
    at,
    count_at,
    judged,
    list_at,
    text_at,
)
from resources.study import OpenAIModel, Profile

if TYPE_CHECKING:
    import httpx2

BASE_URL = "https://api.openai.com/v1"
"""Stated here so that no variable of the environment sends the key elsewhere."""

ALTERNATIVES = 5
"""Most likely tokens asked for at each place."""

DETAIL = "high"
"""How closely pictures are looked at: stated, since `auto` lets the service decide what is seen."""

_NEVER = -1e5
"""Below any logarithm that a service gives for a token that it would never say."""

_CHAT_ENDINGS: dict[str, Ending] = {"stop": "complete", "length": "length", "content_filter": "filtered"}
_RESPONSE_ENDINGS: dict[str, Ending] = {"max_output_tokens": "length", "content_filter": "filtered"}


class OpenAIWire(Wire):
    """Questions as chat completions or responses with a strict JSON schema.

    Parameters
    ----------
    settings : OpenAIModel
        The model's section of the study file.
    profile : Profile
        Where to ask.
    key : str
        The key itself.
    """

    def __init__(self, settings: OpenAIModel, profile: Profile, key: str) -> None:
        import openai

        super().__init__(profile, key)
        self.settings = settings
        self._sent: set[str] = set()
        """Names of media that the server was sent."""

        def client(http: httpx2.AsyncClient, timeout: httpx2.Timeout) -> openai.AsyncOpenAI:
            base_url = profile.base_url or BASE_URL
            return openai.AsyncOpenAI(api_key=key, base_url=base_url, max_retries=0, timeout=timeout, http_client=http)

        self.clients = Clients(client, profile)

    async def close(self) -> None:
        """Close the connections."""
        await self.clients.close()

    async def _send(self, questions: Questions) -> httpx2.Response:
        (question,) = questions
        prompt = question.prompt()
        names = {medium.sha256 for _, media in prompt.clips for medium in media}
        named_only = frozenset(names & self._sent)
        try:
            response = await self.clients.post(*self.request(prompt, named_only), question.key)
        except self._failure as error:
            if not (named_only and _may_have_forgotten(error)):
                raise
            self._sent -= names
            response = await self.clients.post(*self.request(prompt), question.key)
        if self.settings.media_uuids:
            self._sent |= names
        return response

    def request(self, prompt: Prompt, named_only: frozenset[str] = frozenset()) -> tuple[str, dict[str, Any]]:
        """Path and body of the request that puts one question; media ``named_only`` go without their data."""
        if self.settings.api == "chat":
            return "/chat/completions", self._chat(prompt, named_only)
        return "/responses", self._response(prompt)

    def _chat(self, prompt: Prompt, named_only: frozenset[str]) -> dict[str, Any]:
        settings = self.settings
        request: dict[str, Any] = {
            "model": settings.model,
            "messages": [
                {"role": "system", "content": MEDIA_SYSTEM if prompt.clips else SYSTEM},
                {"role": "user", "content": self._chat_content(prompt, named_only)},
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "odd_one_out", "strict": True, "schema": SCHEMA},
            },
            "max_completion_tokens": settings.max_tokens,
        }
        if settings.logprobs:
            request |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
        if settings.effort is not None:
            request["reasoning_effort"] = settings.effort
        return request | self._temperature()

    def _response(self, prompt: Prompt) -> dict[str, Any]:
        settings = self.settings
        request: dict[str, Any] = {
            "model": settings.model,
            "instructions": MEDIA_SYSTEM if prompt.clips else SYSTEM,
            "input": _response_input(prompt),
            "text": {"format": {"type": "json_schema", "name": "odd_one_out", "strict": True, "schema": SCHEMA}},
            "max_output_tokens": settings.max_tokens,
            "store": False,
        }
        if settings.logprobs:
            request |= {"include": ["message.output_text.logprobs"], "top_logprobs": ALTERNATIVES}
        if settings.effort is not None:
            request["reasoning"] = {"effort": settings.effort}
        return request | self._temperature()

    def _chat_content(self, prompt: Prompt, named_only: frozenset[str]) -> str | list[dict[str, Any]]:
        if not prompt.clips:
            return prompt.text
        parts: list[dict[str, Any]] = []
        for line, media in prompt.clips:
            parts += [{"type": "text", "text": line}, *(self._part(m, m.sha256 in named_only) for m in media)]
        return [*parts, {"type": "text", "text": prompt.text}]

    def _part(self, medium: Medium, named_only: bool) -> dict[str, Any]:
        kind = f"{medium.kind}_url"
        detail = {"detail": DETAIL} if medium.kind == "image" else {}
        if not self.settings.media_uuids:
            return {"type": kind, kind: {"url": _data_url(medium), **detail}}
        # the name is a hash of the content, so that a server that goes by the name alone cannot show something else
        data = None if named_only else {"url": _data_url(medium), **detail}
        return {"type": kind, kind: data, "uuid": medium.sha256}

    def _temperature(self) -> dict[str, float]:
        return {} if self.settings.temperature is None else {"temperature": self.settings.temperature}

    def _read(self, body: dict[str, Any]) -> Reply | None:
        return _read_chat(body) if self.settings.api == "chat" else _read_response(body)


def _response_input(prompt: Prompt) -> str | list[dict[str, Any]]:
    if not prompt.clips:
        return prompt.text
    parts: list[dict[str, Any]] = []
    for line, media in prompt.clips:
        parts.append({"type": "input_text", "text": line})
        parts += [{"type": "input_image", "image_url": _data_url(m), "detail": DETAIL} for m in media]
    return [{"role": "user", "content": [*parts, {"type": "input_text", "text": prompt.text}]}]


def _data_url(medium: Medium) -> str:
    return f"data:{medium.mime};base64,{medium.base64()}"


def _may_have_forgotten(error: Exception) -> bool:
    """Whether an error can mean that media are no longer kept: servers say so with one of these."""
    return getattr(getattr(error, "response", None), "status_code", None) in (400, 404, 422, 500)


def _read_chat(body: dict[str, Any]) -> Reply | None:
    message, finish = at(body, "choices", 0, "message"), text_at(body, "choices", 0, "finish_reason")
    if not isinstance(message, dict) or finish is None:
        return None
    text, refusal = text_at(message, "content"), text_at(message, "refusal")
    ending: Ending = "refused" if refusal else _CHAT_ENDINGS.get(finish, "invalid")
    reply = {
        "model": text_at(body, "model"),
        "tokens_in": count_at(body, "usage", "prompt_tokens"),
        "tokens_out": count_at(body, "usage", "completion_tokens"),
        "shares": label_shares(text, at(body, "choices", 0, "logprobs", "content")),
    }
    return judged(text, ending, **reply)


def _read_response(body: dict[str, Any]) -> Reply | None:
    status, output = text_at(body, "status"), at(body, "output")
    if status not in ("completed", "incomplete") or not isinstance(output, list):
        return None
    parts = [p for item in output if at(item, "type") == "message" for p in list_at(item, "content")]
    spoken = [p for p in parts if at(p, "type") == "output_text"]
    ending: Ending = "complete"
    if status == "incomplete":
        ending = _RESPONSE_ENDINGS.get(text_at(body, "incomplete_details", "reason") or "", "invalid")
    elif any(at(p, "type") == "refusal" for p in parts):
        ending = "refused"
    elif not spoken:
        return None
    text = "".join(text_at(p, "text") or "" for p in spoken)
    reply = {
        "model": text_at(body, "model"),
        "tokens_in": count_at(body, "usage", "input_tokens"),
        "tokens_out": count_at(body, "usage", "output_tokens"),
        "shares": label_shares(text, at(spoken, 0, "logprobs")),
    }
    return judged(text, ending, **reply)


def label_shares(text: str | None, tokens: Any) -> tuple[float, float, float] | None:
    """Probabilities of the three labels from the alternatives to the token that holds the label.

    Parameters
    ----------
    text : str or None
        The answer.
    tokens : list of dict, or anything
        Its tokens with ``token``, ``logprob`` and ``top_logprobs``, as far as the server gives them.

    Returns
    -------
    tuple of three floats or None
        Renormalized over A, B and C; None where the tokens do not spell the answer or no label is among them.
    """
    if not isinstance(tokens, list) or text is None:
        return None
    spelt = [text_at(t, "token") or "" for t in tokens]
    place = max(text.rfind(f'"{label}"') for label in LABELS) + 1
    if "".join(spelt) != text or place == 0:
        return None
    ends = list(accumulate(len(s) for s in spelt))
    index = next(i for i, end in enumerate(ends) if end > place)
    offset = place - (ends[index] - len(spelt[index]))
    return _shares(at(tokens, index, "top_logprobs"), spelt[index][:offset])


def _shares(alternatives: Any, before: str) -> tuple[float, float, float] | None:
    weights = dict.fromkeys(LABELS, 0.0)
    for alternative in alternatives if isinstance(alternatives, list) else []:
        token, logprob = text_at(alternative, "token") or "", at(alternative, "logprob")
        label = token[len(before) : len(before) + 1]
        known = isinstance(logprob, (int, float)) and _NEVER <= logprob <= 0
        if known and token.startswith(before) and label in weights:
            weights[label] += math.exp(logprob)
    total = sum(weights.values())
    if not total > 0:
        return None
    a, b, c = (weights[label] / total for label in LABELS)
    return a, b, c
