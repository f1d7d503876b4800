"""Real reviews and a shop's tweets as listening/mentions, and what they say by a plain count.

Belongs here: what a mention is in each set, and its label. Does not belong here: the code under
test.
"""

import os
from datetime import datetime
from pathlib import Path

import polars as pl
from rows import Row, mention

# Every tweet opens with one of three phrases; the adjectives that follow all mean the same.
OPENINGS = {
    "Jaffles from the Jaffle Shop are": "positive",
    "Jaffle shop is": "neutral",
    "Jaffle Shop again.": "negative",
}
SHOP, CLOTHING = "Jaffle Shop", "Clothing"


def tweets() -> list[Row]:
    """A tweet is a word about the shop by one of its customers."""
    path = Path(os.environ["REFERENCE_DATA"]) / "jaffle_shop" / "raw_tweets.parquet"
    return [
        mention(
            row["id"],
            datetime.fromisoformat(row["tweeted_at"]),
            source="twitter",
            brand=SHOP,
            text=row["content"],
            sentiment=sentiment(row["content"]),
            account_id=row["user_id"],
        )
        for row in pl.read_parquet(path).to_dicts()
    ]


def sentiment(text: str) -> str:
    [label] = [label for opening, label in OPENINGS.items() if text.startswith(opening)]
    return label


def reviews(published_at: datetime) -> list[Row]:
    """A review is a rating of 1 to 5 without a sentiment; the set tells no dates."""
    path = Path(os.environ["REFERENCE_DATA"]) / "womens_reviews" / "womens_clothing_reviews.parquet"
    return [
        mention(
            f"review-{number}",
            published_at,
            source="review_site",
            brand=CLOTHING,
            text=row["Review Text"],
            rating=float(row["Rating"]),
            rating_max=5.0,
        )
        for number, row in enumerate(pl.read_parquet(path).to_dicts())
    ]
