"""A program of the user's own, such as notify-send: no shell, the message on its standard input."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from core.alerting.messages import Message
from core.errors import ChannelAway, ChannelRefused
from core.notify import Plain
from core.text import clean

SECRETS = ("TAPEWATCH_", "CCDATA_")


class CommandChannel(Plain):
    """Runs `program`, in which an argument that is {subject} or {text} stands for that part of the message."""

    def __init__(self, name: str, program: Sequence[str], timeout: float) -> None:
        self.name = name
        self._program = tuple(program)
        self._timeout = timeout

    async def send(self, message: Message) -> None:
        """Raises ChannelAway when it takes too long or ends with anything but 0."""
        process = await self._started(message)
        try:
            async with asyncio.timeout(self._timeout):
                await process.communicate(f"{message.subject}\n\n{message.text}\n".encode())
        except TimeoutError:
            raise ChannelAway(f"{self._shown} did not end within {self._timeout:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with whatever it has started
                await process.wait()
        if process.returncode:
            raise ChannelAway(f"{self._shown} ended with {process.returncode}")

    async def check(self) -> None:
        if shutil.which(self._program[0]) is None:
            raise ChannelRefused(f"{self._shown}: there is no such program")

    @property
    def _shown(self) -> str:
        return clean(self._program[0])

    async def _started(self, message: Message) -> asyncio.subprocess.Process:
        parts = {"{subject}": message.subject, "{text}": message.text}
        nowhere = asyncio.subprocess.DEVNULL
        try:
            return await asyncio.create_subprocess_exec(
                *(parts.get(argument, argument) for argument in self._program),
                stdin=asyncio.subprocess.PIPE,
                stdout=nowhere,
                stderr=nowhere,
                env=without_secrets(os.environ),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ChannelRefused(f"{self._shown}: there is no such program") from error
        except OSError as error:
            raise ChannelAway(f"{self._shown} cannot be started: {error.strerror}") from error


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """What a program of others may know of ours."""
    return {name: value for name, value in environ.items() if not name.startswith(SECRETS)}
