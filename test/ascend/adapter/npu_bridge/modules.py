"""Makes the adapter's modules out of a generation's signatures and the behaviour behind them."""

import functools
import importlib.machinery
import inspect
import sys
import types

from npu_bridge.signatures import GENERATIONS, REQUIRED


def install(generation, calls):
    """Put the modules of a generation where `import` finds them."""
    from npu_bridge import behaviour, hccl_behaviour

    for (module, name), parameters in GENERATIONS[generation].items():
        made = getattr(behaviour, name, None) or getattr(hccl_behaviour, name)
        strict = _strict(name, made, parameters, calls)
        if name == "NPURunConfig":
            strict.generation = generation
        setattr(_module(module), name, strict)


def _strict(name, made, parameters, calls):
    """`made`, which takes what `parameters` say and no more, and tells `calls`."""
    signature = inspect.Signature([
        inspect.Parameter(parameter, inspect.Parameter.POSITIONAL_OR_KEYWORD,
                          default=inspect.Parameter.empty if default is REQUIRED else default)
        for parameter, default in parameters.items()])

    def bound(arguments, keywords):
        given = signature.bind(*arguments, **keywords)
        calls.append((name, dict(given.arguments)))
        given.apply_defaults()
        return given.arguments

    if isinstance(made, type):
        def build(self, *arguments, **keywords):
            made.__init__(self, **bound(arguments, keywords))

        # A class stays one: the adapter asks for the type of what it is handed.
        return type(name, (made,), {"__init__": build, "__signature__": signature, "__doc__": made.__doc__})

    @functools.wraps(made)
    def call(*arguments, **keywords):
        return made(**bound(arguments, keywords))

    call.__signature__ = signature
    return call


def _module(name):
    """The module of that name, and those above it."""
    if name not in sys.modules:
        above, _, own = name.rpartition(".")
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        module.__path__ = []
        sys.modules[name] = module
        if above:
            setattr(_module(above), own, module)
    return sys.modules[name]
