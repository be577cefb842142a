"""Training in SageMaker: the source and the data go to S3, a training job runs `model_training/train.py`, its model comes back.

Which service is spoken to is chosen by AWS's own environment variables and configuration files alone.
"""
