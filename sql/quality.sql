-- How good is each model's embedding? One row a model.
SELECT
    model,
    n_dimensions,
    coverage,
    n_train,
    n_test,
    accuracy,
    accuracy_low,
    accuracy_high,
    ceiling,
    chance,
    rsm_r,
    top3_27,
    top3_34,
    n_refused
FROM embedding_quality
SEMI JOIN study_models USING (model)
ORDER BY accuracy DESC NULLS LAST, model
