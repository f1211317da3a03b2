-- What did each model cost?
-- One row a model that was asked, the dearest first; answers that were not accepted cost as well. Local judges cost
-- nothing and have no tokens.
-- Columns:
--   model         the judge
--   answered_by   names of the models that the service says have answered
--   n_judgments   accepted answers
--   n_attempts    answers that were not accepted
--   tokens_in     input tokens; empty where none was counted
--   tokens_out    output tokens; empty where none was counted
--   usd           US dollars; empty where nothing was charged
--   usd_per_1000  US dollars for a thousand accepted answers
--   latency_s     median seconds from request to answer
--   first_at      time of the first answer
--   last_at       time of the last answer
WITH answers AS (
    SELECT model, TRUE AS accepted, model_returned, tokens_in, tokens_out, cost_usd, latency_s, judged_at AS answered_at
    FROM judgments
    UNION ALL
    SELECT model, FALSE, NULL, tokens_in, tokens_out, cost_usd, NULL, attempted_at
    FROM attempts
)

SELECT
    model,
    string_agg(DISTINCT model_returned, ', ' ORDER BY model_returned) AS answered_by,
    count(*) FILTER (WHERE accepted) AS n_judgments,
    count(*) FILTER (WHERE NOT accepted) AS n_attempts,
    sum(tokens_in)::BIGINT AS tokens_in,
    sum(tokens_out)::BIGINT AS tokens_out,
    sum(cost_usd) AS usd,
    1000 * sum(cost_usd) / nullif(count(*) FILTER (WHERE accepted), 0) AS usd_per_1000,
    median(latency_s) AS latency_s,
    min(answered_at) AS first_at,
    max(answered_at) AS last_at
FROM answers
SEMI JOIN study_models USING (model)
GROUP BY model
ORDER BY usd DESC NULLS LAST, model
