"""Neural models and other engines (writers, painters, taggers, gates), and the plain functions around them."""
