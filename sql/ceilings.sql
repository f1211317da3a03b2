-- How near does each model come to what could be predicted at all? One row a subject, region, model and source of the
-- noise ceiling; where there is no ceiling, the reason.
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
