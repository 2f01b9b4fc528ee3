"""Video Pinball."""

from quantilizers.envs.video_pinball.environment import ENVIRONMENT as ENVIRONMENT
from quantilizers.envs.video_pinball.environment import MEMORY_ENVIRONMENT as MEMORY_ENVIRONMENT
