"""Report every mistake in a configuration, and the cost of its model."""

from __future__ import annotations

from seqzoo.commands.command_line import allow_own_modules, help_options
from seqzoo.contracts.counting import counted
from seqzoo.contracts.errors import ConfigError


def check(arguments: list[str]) -> None:
    """Compose, check and summarise a configuration without reading its data."""
    if "-h" in arguments or "--help" in arguments:
        help_options("check", [a for a in arguments if not a.startswith("-")])
        return
    if any(argument.startswith("resume=") for argument in arguments):
        raise ConfigError(["resume= is for train, which checks a run before it continues it: leave it out here"])
    allow_own_modules(arguments)
    from seqzoo.configuration.building import build_data
    from seqzoo.configuration.cost import memory_to_train
    from seqzoo.configuration.overrides import examine
    from seqzoo.configuration.recipe import applies
    from seqzoo.configuration.sizing import describe_inputs, describe_outputs, outline
    from seqzoo.contracts.data_module import DataModule
    from seqzoo.training.record.run import format_table

    experiment, mistakes = examine(*arguments)
    if mistakes or experiment is None:
        raise ConfigError(mistakes)
    summary = outline(experiment)
    model, spec, cost = summary.model, summary.spec, summary.cost
    read = f"(B, T, {spec.input_size})" if summary.numbers else "(B, T)"
    steps = "T" if model.encoder.stride == 1 else f"T / {model.encoder.stride}"
    kept = steps if model.backbone.keeps_time else f"fewer than {steps}"
    if spec.picture is not None:
        read, steps, kept = "(B, {}, {}, {})".format(*spec.picture), "R", "R"
    rows = [(group, experiment.choices[group]) for group in ("task", "data", "encoder", "backbone", "cell")]
    rows += [
        ("inputs", ("" if summary.numbers else "at most ") + describe_inputs(spec, summary.unit)),
        ("outputs", f"at most {describe_outputs(spec)}"),
    ]
    if summary.unmet:  # sizes depend on the width, which is unknown
        print(format_table(rows))
        limits = "no mistakes, but the budget cannot be met unless the data are smaller than these limits"
        print(f"{limits}: {summary.unmet}")
        return
    rows += [
        (
            "shapes",
            f"{read} -> (B, {steps}, {model.encoder.output_size}) -> (B, {kept}, {model.backbone.output_size}) -> task",
        ),
        ("parameters", f"at most {cost.parameters:,}"),
        (
            "FLOPs",
            f"unknown: {cost.unknown}"
            if cost.flops_per_token is None
            else f"{cost.flops_per_token:,.0f} per {summary.unit} in a forward pass",
        ),
        ("state", f"{cost.state_bytes:,} bytes per sequence"),
        ("memory", f"{memory_to_train(cost)} during training, with batches of {summary.rows} x {summary.steps} steps"),
    ]
    rows += [
        (f"  {name}", counted(sum(p.numel() for p in part.parameters()), "parameter"))
        for name, part in model.named_children()
    ]
    if applies(experiment) and type(build_data(experiment)).survey is not DataModule.survey:
        rows.append(("recipe", "train also chooses options from the data (recipe=auto), which change these sizes"))
    print(format_table(rows))
    print("no mistakes")
