-- Which dimensions of two models mean the same?
-- One row a matched pair, best match first.
-- Columns:
--   model_a      first model, in name order
--   dimension_a  its dimension
--   label_a      name of that dimension
--   model_b      second model
--   dimension_b  its dimension
--   label_b      name of that dimension
--   r            Pearson r of the two over the clips that both have
--   n_items      how many these are
SELECT
    l.model_a,
    l.dimension_a,
    a.label AS label_a,
    l.model_b,
    l.dimension_b,
    b.label AS label_b,
    l.r,
    l.n_items
FROM dimension_links AS l
INNER JOIN dimensions AS a ON l.model_a = a.model AND l.dimension_a = a.dimension
INNER JOIN dimensions AS b ON l.model_b = b.model AND l.dimension_b = b.dimension
WHERE l.matched
ORDER BY l.r DESC, l.model_a, l.dimension_a, l.model_b
