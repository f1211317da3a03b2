"""Agents behind a service: an OpenAI-compatible or an Anthropic server is asked one question a request.

``wire`` is what the services have in common, ``openai`` and ``anthropic`` are their dialects, ``limiter`` and ``loop``
decide when what is asked, ``captions`` and ``rows`` make questions and rows, ``agent`` puts all behind the protocol of
agents, ``prices`` and ``estimate`` count money.
"""
