// First file of TelemetryTests; replaced as the room is furnished.
