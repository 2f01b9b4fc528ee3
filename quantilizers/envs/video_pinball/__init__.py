"""Video Pinball."""

from quantilizers.envs.video_pinball.environment import ENVIRONMENT as ENVIRONMENT
