// The door.
