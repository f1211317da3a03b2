"""A small grammar that describes a clip in words that go with its planted affect."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affectlake.demo.space import NAMES

_Words = dict[str, tuple[str, ...]]

_WHO: _Words = {
    "joy": ("laughing children", "a cheering football team", "a giggling toddler", "friends at a birthday party"),
    "awe": ("a lone hiker", "a group of astronomers", "a photographer", "an astonished crowd"),
    "calm": ("an old man with a cup of tea", "a sleeping cat", "a woman reading", "a slow rowing boat"),
    "love": ("a newly married couple", "a mother with her baby", "two lovers", "a boy with his puppy"),
    "sadness": ("a weeping widow", "an abandoned dog", "a lonely orphan", "mourners in black"),
    "fear": ("a hooded stranger with a knife", "a giant spider", "a screaming girl", "a climber who slips"),
    "disgust": ("a swarm of maggots", "a man who vomits", "a rat in the sewer", "a rotten piece of meat"),
    "anger": ("a shouting driver", "two men in a fist fight", "an angry mob", "a bully in the school yard"),
}
_DOES: _Words = {
    "joy": ("dance and celebrate", "jump for joy", "play and laugh", "win the game"),
    "awe": ("gaze at the northern lights", "look over a vast canyon", "watch a comet", "stand below a huge waterfall"),
    "calm": ("rest in silence", "drift on still water", "breathe slowly", "listen to soft rain"),
    "love": ("kiss tenderly", "embrace and smile", "hold hands", "cuddle close together"),
    "sadness": ("cry at a grave", "say a last goodbye", "sit alone in tears", "mourn a death"),
    "fear": ("creep through the dark", "attack without warning", "flee from danger", "fall from a cliff"),
    "disgust": ("crawl over filthy garbage", "ooze slime and pus", "eat something rotten", "spill stinking waste"),
    "anger": ("scream insults", "smash a window in rage", "hit and kick", "argue furiously"),
}
_WHERE: _Words = {
    "joy": ("at a sunny carnival", "in a colourful playground", "on the winners' stage"),
    "awe": ("under a sky full of stars", "on a majestic mountain", "in a great cathedral"),
    "calm": ("by a quiet lake", "in a peaceful garden", "on an empty beach at dusk"),
    "love": ("in a candle-lit room", "at their wedding", "in a cosy bed"),
    "sadness": ("at a funeral", "in a deserted hospital ward", "in the ruins of a home"),
    "fear": ("in a haunted cellar", "in a dark forest at night", "on the edge of an abyss"),
    "disgust": ("in a filthy toilet", "in a mouldy kitchen", "on a heap of garbage"),
    "anger": ("in a riot", "in a traffic jam", "in front of a court"),
}
_MOOD: _Words = {
    "joy": ("everyone is happy", "it is funny and cheerful"),
    "awe": ("it is breathtaking and beautiful", "it is a wonder of nature"),
    "calm": ("it is peaceful and relaxing", "nothing much happens"),
    "love": ("it is tender and romantic", "it is adorable"),
    "sadness": ("it is heartbreaking", "it is full of grief"),
    "fear": ("it is terrifying", "it is a scene of dread and panic"),
    "disgust": ("it is revolting", "it is gross and sickening"),
    "anger": ("it is unfair and hostile", "tempers run high"),
}


def describe(weights: NDArray[np.float32], rng: np.random.Generator, n: int = 3) -> list[str]:
    """Return ``n`` descriptions of a clip with planted ``weights`` (shape (8,)).

    Who and what is shown follows the strongest dimension; place and mood are drawn in proportion to the weights, so
    that a second emotion is heard in some descriptions only, as with human describers.
    """
    strongest = NAMES[int(weights.argmax())]
    share = weights.astype(np.float64) / weights.astype(np.float64).sum()
    sentences = []
    for _ in range(n):
        place, mood = (NAMES[k] for k in rng.choice(len(NAMES), size=2, p=share))
        who, does = _pick(_WHO[strongest], rng), _pick(_DOES[strongest], rng)
        sentences.append(f"We see {who} and people who {does} {_pick(_WHERE[place], rng)}; {_pick(_MOOD[mood], rng)}.")
    return sentences


def _pick(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
