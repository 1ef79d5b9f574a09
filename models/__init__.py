"""Neural models and other engines, and the plain functions around them."""
