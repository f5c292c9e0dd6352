"""What helps against a technical effect on images, at sites that are known and at new ones.

A shift within the span of the known sites' shifts can be projected out before the new site is seen;
what lies outside it no method can know without data of that site.
"""

__all__ = ["on_measurement", "on_transfer", "remedy"]

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
    return f"{seen} {_for_new_sites(findings)}"


def _for_new_sites(findings):
    """Say what helps against a technical effect at a site that training did not see."""
    transfer = findings.transfer
    if transfer is None:
        return "For new sites: leave one site out to see whether anything helps."
    if transfer["value_adj"] > TRANSFERS:
        return (
            f"For new sites: project out the site directions at equal {findings.target}, then use "
            "any model."
        )
    if transfer["p"] > 0.05:
        return "For new sites: no method helps without data of the new site; ask for some."
    return (
        f"For new sites: projection reaches {transfer['value']:.0%} of the shift; check it by "
        "leaving one site out."
    )


def on_measurement(name, findings):
    """Say what helps against a technical column of numbers, such as image quality or coverage."""
    return (
        f"Compare people of like {name}, or regress it out at equal {findings.target}, fitted in "
        f"the fold and with a linear model after it. Where {name} differs by site, that is part of "
        "what is found of the site."
    )


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
