"""Slices: how a frame of account-level measures is seen per segment, plan tier, country and so on.

What belongs here: the one rule that gives every row exactly one value per slice dimension, also a
row without an account. What does not: which attributes are dimensions and what they are worth for
an account (the warehouse decides), and what is summed per slice (the caller does).
"""

import polars as pl


def by_slice(measures: pl.LazyFrame, slices: pl.LazyFrame) -> pl.LazyFrame:
    """Each row of `measures` once per slice dimension, so that sums over one are the total.

    `measures` has account_id (nullable); `slices` has account_id, slice_dimension, slice_value, one
    row per account and dimension. The result has the columns of `measures` plus slice_dimension and
    slice_value. `total` is always there, with the value `all`; a null or unknown account, or a null
    attribute, is `unknown`.
    """
    known = slices.select("account_id", "slice_dimension", "slice_value")
    total = pl.LazyFrame({"slice_dimension": ["total"]})
    dimensions = pl.concat([total, known.select("slice_dimension")]).unique()
    return (
        measures.join(dimensions, how="cross")
        .join(known, on=["account_id", "slice_dimension"], how="left")
        .with_columns(
            slice_value=pl.when(pl.col("slice_dimension") == "total")
            .then(pl.lit("all"))
            .otherwise(pl.col("slice_value").fill_null("unknown"))
        )
    )
