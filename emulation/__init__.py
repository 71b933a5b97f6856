"""A topology brought to life: network, switches, controller, agents and servers, and the demo on it."""
