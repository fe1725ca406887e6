"""Report every mistake in a configuration, and the cost of its model."""

from __future__ import annotations

from seqzoo.commands.arguments import allow_own_modules, help_options
from seqzoo.contracts.errors import ConfigError


def check(arguments: list[str]) -> None:
    """Compose, check and summarise a configuration without reading its data."""
    if "-h" in arguments or "--help" in arguments:
        help_options("check", [a for a in arguments if not a.startswith("-")])
        return
    if any(argument.startswith("resume=") for argument in arguments):
        raise ConfigError(["resume= is for train, which checks a run before it continues it: leave it out here"])
    allow_own_modules(arguments)
    from seqzoo.configuration.cost import memory_to_train
    from seqzoo.configuration.overrides import examine
    from seqzoo.configuration.sizing import describe_inputs, outline
    from seqzoo.training.record.run import format_table

    experiment, mistakes = examine(*arguments)
    if mistakes or experiment is None:
        raise ConfigError(mistakes)
    found = outline(experiment)
    model = found.model
    read = f"(B, T, {found.spec.input_size})" if found.numbers else "(B, T)"
    steps, kept = "T", "T" if model.backbone.keeps_time else "fewer than T"
    if found.spec.picture is not None:
        read, steps, kept = "(B, {}, {}, {})".format(*found.spec.picture), "R", "R"
    rows = [(group, experiment.choices[group]) for group in ("task", "data", "encoder", "backbone", "cell")]
    rows += [
        ("inputs", ("" if found.numbers else "at most ") + describe_inputs(found.spec, found.numbers)),
        ("outputs", f"at most {found.spec.output_size:,}"),
    ]
    if found.unmet:  # no width, so no sizes
        print(format_table(rows))
        print(f"no mistakes, but the budget cannot be met unless the data are smaller than these limits: {found.unmet}")
        return
    rows += [
        (
            "shapes",
            f"{read} -> (B, {steps}, {model.encoder.output_size}) -> (B, {kept}, {model.backbone.output_size}) -> task",
        ),
        ("parameters", f"at most {found.cost.parameters:,}"),
        (
            "FLOPs",
            f"unknown: {found.cost.unknown}"
            if found.cost.flops_per_token is None
            else f"{found.cost.flops_per_token:,.0f} per token in a forward pass",
        ),
        ("state", f"{found.cost.state_bytes:,} bytes per sequence"),
        (
            "memory",
            f"{memory_to_train(found.cost)} during training, with batches of {found.rows} x {found.steps} steps",
        ),
    ]
    rows += [
        (f"  {name}", f"{sum(p.numel() for p in part.parameters()):,} parameters")
        for name, part in model.named_children()
    ]
    print(format_table(rows))
    print("no mistakes")
