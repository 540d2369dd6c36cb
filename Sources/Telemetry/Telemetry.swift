// First file of Telemetry; replaced as the room is furnished.
