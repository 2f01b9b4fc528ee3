"""Mountain Car."""

from quantilizers.envs.mountain_car.environment import ENVIRONMENT as ENVIRONMENT
