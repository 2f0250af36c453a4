"""The kernel's end of a transfer: a program that a silent execution brings there, apart from the user's variables.

It is a package of its own in the kernel's ``sys.modules``, named by its content, so that clients of several versions
use one kernel beside each other. It answers a type of message of its own on the shell channel.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING, Any

from jupyter_sessions.client.errors import TransferRefused
from jupyter_sessions.client.waiting import NO_END, Patience
from jupyter_sessions.model.errors import DeadlineExceeded

if TYPE_CHECKING:
    from jupyter_sessions.client.execution import Execution
    from jupyter_sessions.client.kernel import KernelConnection

_HERE = "jupyter_sessions.client"
_MODULES = ("values", "frames", "pieces", "remote_end")
_TRIES = 5
"""How often it is sent to a kernel that aborts it because a cell before it failed."""

_LAUNCH = """
def launch(package, sources, request, reply):
    import sys
    if sys.version_info < (3, 10):
        return "its Python is %d.%d, and transfers need 3.10" % sys.version_info[:2]
    from types import ModuleType
    if package not in sys.modules:
        top = ModuleType(package)
        top.__path__ = []
        made = {package: top}
        for name in sources:
            made[package + "." + name] = module = ModuleType(package + "." + name)
            module.__package__ = package
            setattr(top, name, module)
        sys.modules.update(made)
        try:
            for name, source in sources.items():
                exec(compile(source, "<%s.%s>" % (package, name), "exec"), vars(made[package + "." + name]))
        except BaseException:
            for name in made:
                del sys.modules[name]
            raise
    from IPython import get_ipython
    return sys.modules[package + ".remote_end"].install(request, reply, get_ipython())

def outcome(package, sources, request, reply):
    try:
        return launch(package, sources, request, reply)
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)

import sys
told = sys.modules[package + "_outcome"] = type(sys)(package + "_outcome")
told.text = outcome(package, sources, request, reply)
"""


@cache
def _program() -> tuple[str, str]:
    """Give the name of the kernel's end, by its content, and the line of Python that puts it there."""
    texts = {name: (resources.files(_HERE) / f"{name}.py").read_text("utf-8") for name in _MODULES}
    package = "_jupyter_sessions_" + hashlib.sha256(json.dumps([texts, _LAUNCH]).encode()).hexdigest()[:16]
    sources = {name: text.replace(f"{_HERE}.", f"{package}.") for name, text in texts.items()}
    sources = {name: text.replace(f"from {_HERE} import", f"from {package} import") for name, text in sources.items()}
    named = {"package": package, "sources": sources, "request": f"{package}_request", "reply": f"{package}_reply"}
    # One expression, so that no name of the user's is set; builtins, as the user may have an exec of their own.
    return package, f"__import__('builtins').exec({_LAUNCH!r}, {named!r})"


def bring(connection: KernelConnection, patience: Patience = NO_END) -> str:
    """Put the program into the kernel unless it is there; give the type of the requests that it answers.

    Raises TransferRefused for a kernel that is no ipykernel, KernelDied, DeadlineExceeded.
    """
    package, code = _program()
    request = f"{package}_request"
    # A short question first: all of the program takes a kernel many times as long to read.
    there = f"{request!r} in __import__('IPython').get_ipython().kernel.shell_handlers"
    if _told(_asked(connection, "", there, patience)) == "True":
        return request
    language = str(connection.kernel_info(timeout=patience.timeout).get("language_info", {}).get("name", "unknown"))
    if language != "python":
        raise TransferRefused(f"transfers need a Python kernel (ipykernel), and this one speaks {language}")
    outcome = _asked(connection, code, f"__import__('sys').modules.pop('{package}_outcome').text", patience)
    fault = _told(outcome)
    if fault:
        raise TransferRefused(f"transfers need ipykernel in the session, and this kernel refuses: {fault}")
    return request


def _asked(connection: KernelConnection, code: str, expression: str, patience: Patience) -> Mapping[str, Any]:
    """Run code unseen; give the kernel's reply, which has the expression's value."""
    for _ in range(_TRIES):
        execution = connection.execute(
            code, silent=True, store_history=False, stop_on_error=False, user_expressions={"told": expression}
        )
        patience.wait(partial(_ended, execution))
        result = execution.result()
        # Aborted: a cell before it failed, which is nothing to us.
        if result.status != "aborted":
            break
    return result.reply


def _ended(execution: Execution, seconds: float | None) -> bool:
    try:
        execution.result(seconds)
    except DeadlineExceeded:
        return False
    return True


def _told(reply: Mapping[str, Any]) -> str:
    found = reply.get("user_expressions", {}).get("told", {})
    if found.get("status") != "ok":
        return str(found.get("evalue") or reply.get("evalue") or "it gave no answer")
    text = str(found.get("data", {}).get("text/plain", ""))
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
