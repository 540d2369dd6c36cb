// First file of CedarSchemaTests; replaced as the room is furnished.
