-- What do the dimensions of one model mean, and which clips stand for them?
-- One row a dimension and clip: the six clips with the largest weight on it (all that have one, if fewer).
-- Columns:
--   dimension        0-based, sorted by share
--   label            name made from the ratings that it goes with
--   kind             category, dimension, hybrid or none
--   share            part of the total weight, 0..1
--   reproducibility  mean r with its match in other runs of the fit
--   place            1 for the clip with the largest weight
--   video_id         clip
--   weight           its coordinate
--   caption          its first caption; empty where it has none
-- Parameters:
--   $model  a model of the study
WITH weights AS (
    SELECT
        video_id,
        unnest(vector) AS weight,
        generate_subscripts(vector, 1) - 1 AS dimension
    FROM embeddings
    WHERE model = $model
),

ranked AS (
    SELECT
        dimension,
        video_id,
        weight,
        row_number() OVER (PARTITION BY dimension ORDER BY weight DESC, video_id) AS place
    FROM weights
    WHERE weight > 0
)

SELECT
    d.dimension,
    d.label,
    d.kind,
    d.share,
    d.reproducibility,
    r.place,
    r.video_id,
    r.weight,
    c.text AS caption
FROM dimensions AS d
INNER JOIN ranked AS r ON d.dimension = r.dimension AND r.place <= 6
LEFT JOIN captions AS c ON r.video_id = c.video_id AND c.caption = 0
WHERE d.model = $model
ORDER BY d.dimension, r.place
