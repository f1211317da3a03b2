"""Requests start in the order in which they were put."""

import asyncio

from resources.agents.service.limiter import Limiter


def test_who_waits_for_a_place_is_not_passed_by_those_who_come_later() -> None:
    turns: list[str] = []

    async def ask(limiter: Limiter, name: str) -> None:
        for _ in range(50):
            async with limiter:
                turns.append(name)
                await asyncio.sleep(0)

    async def main() -> None:
        limiter = Limiter(1, 10**9, asyncio.Event())
        await asyncio.gather(*(ask(limiter, name) for name in "abc"))

    asyncio.run(main())
    assert "".join(turns) == "abc" * 50


def test_never_more_than_the_most_are_in_flight_and_all_places_are_taken() -> None:
    in_flight, most = 0, []

    async def ask(limiter: Limiter) -> None:
        nonlocal in_flight
        async with limiter:
            in_flight += 1
            most.append(in_flight)
            await asyncio.sleep(0.001)
            in_flight -= 1
            limiter.answered()

    async def main() -> None:
        limiter = Limiter(12, 10**9, asyncio.Event())
        await asyncio.gather(*(ask(limiter) for _ in range(300)))

    asyncio.run(main())
    assert max(most) == 12


def test_after_a_cut_fewer_start_until_those_in_flight_are_back() -> None:
    in_flight, after = 0, []

    async def ask(limiter: Limiter, number: int) -> None:
        nonlocal in_flight
        async with limiter:
            in_flight += 1
            if number > 8:
                after.append(in_flight)
            await asyncio.sleep(0.001)
            in_flight -= 1
            if number == 0:
                limiter.limited(asyncio.get_running_loop().time(), 0.0)

    async def main() -> None:
        limiter = Limiter(8, 10**9, asyncio.Event())
        await asyncio.gather(*(ask(limiter, n) for n in range(60)))

    asyncio.run(main())
    assert max(after[8:]) == 5, "seven tenths of eight"
