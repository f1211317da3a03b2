-- How near does each model come to what could be predicted at all?
-- One row a subject, region, model and source of the noise ceiling.
-- Columns:
--   subject       whose brain
--   roi           region
--   model         whose space
--   mean_r        mean r over the region's voxels
--   source        what the ceiling is estimated from: repeats, or other subjects
--   ceiling       noise ceiling, as r
--   ceiling_low   lower end of its 95 % interval
--   ceiling_high  upper end of its 95 % interval
--   normalised_r  mean_r / ceiling
--   reason        why there is no ceiling, where there is none
SELECT
    s.subject,
    s.roi,
    s.model,
    s.mean_r,
    c.source,
    c.ceiling,
    c.ceiling_low,
    c.ceiling_high,
    s.mean_r / c.ceiling AS normalised_r,
    c.reason
FROM encoding_scores AS s
INNER JOIN noise_ceilings AS c USING (subject, roi)
SEMI JOIN study_models USING (model)
SEMI JOIN study_subjects USING (subject)
ORDER BY c.source, s.subject, s.roi, s.mean_r DESC NULLS LAST, s.model
