"""What helps against a technical effect on images, at sites that are known and at new ones.

A shift within the span of the known sites' shifts can be projected out before the new site is seen;
what lies outside it no method can know without data of that site.
"""

__all__ = ["on_transfer", "remedy"]

TRANSFERS = 0.5
SEES_MORE = 0.05


def remedy(findings):
    """Say what helps against a technical effect on images, for seen and for new sites."""
    seen = "For sites of the training data: ComBat with a linear model, fitted in the fold."
    curved = _curved(findings)
    if curved:
        seen = (
            "For sites of the training data: an age-conditional penalty on the representation, "
            f"since {curved}."
        )
    transfer = findings.transfer
    if transfer is None:
        return f"{seen} For new sites: leave one site out to see whether anything helps."
    if transfer["value_adj"] > TRANSFERS:
        new = (
            f"For new sites: project out the site directions at equal {findings.target}, then use "
            "any model."
        )
    elif transfer["p"] > 0.05:
        new = "For new sites: no method helps without data of the new site; ask for some."
    else:
        new = (
            f"For new sites: projection reaches {transfer['value']:.0%} of the shift; check it by "
            "leaving one site out."
        )
    return f"{seen} {new}"


def _curved(findings):
    linear, rbf = findings.excess.get("linear"), findings.excess.get("rbf")
    if linear is None or rbf is None:
        return ""
    if not rbf["value_adj"] > linear["value_adj"] + SEES_MORE:
        return ""
    return "a curved probe reads more of the site than a linear one"


def on_transfer(row, findings):
    """Say what a shift-transfer ratio means for new sites."""
    if row["value_adj"] > TRANSFERS:
        return (
            "Methods that see the training sites only can help here: project out the site "
            f"directions at equal {findings.target}, then use any model."
        )
    if row["p"] > 0.05:
        return (
            "No method that sees the training sites only can help here: ask for data of the new "
            "site, or do not claim that the model carries over."
        )
    return (
        f"Projection reaches {row['value']:.0%} of the shift: expect part of the gain, and check "
        "it by leaving one site out."
    )
