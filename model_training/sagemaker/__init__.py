"""Training in SageMaker: upload source and data to S3, run `model_training/train.py` in a training job, download the model.

Only AWS's environment variables and configuration files select the endpoint and the account.
"""
