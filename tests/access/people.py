"""Who the people of these tests are, and how each stands to alice's content."""

USERS = """\
[[users]]
username = "admin"
user_role = "administrator"

[[users]]
username = "alice"          # the owner
user_role = "publisher"
groups = ["staff"]
first_name = "Alice"
last_name = "Liddell"
email = "alice@example.com"

[[users]]
username = "bob"
user_role = "viewer"

[[users]]
username = "carol"          # listed as a viewer
user_role = "viewer"

[[users]]
username = "dave"           # a viewer through a group
user_role = "viewer"
groups = ["readers"]

[[users]]
username = "erin"
user_role = "publisher"
groups = ["staff"]

[[users]]
username = "frank"          # listed as a collaborator
user_role = "publisher"

[[users]]
username = "grace"          # a collaborator through a group
user_role = "publisher"
groups = ["editors"]

[[users]]
username = "heidi"          # in the collaborators' group, but a viewer is no publisher
user_role = "viewer"
groups = ["editors"]

[[users]]
username = "Zoë <李>"
user_role = "publisher"
groups = ["Редакция", "&c. \\"quoted\\"", "هيئة",
          "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverleihung"]
first_name = "Zoë"
"""

#: who -> what they are to content that is open to all, to the logged in, and to its list
ROLES = {
    "nobody": ("anonymous", "stranger", "stranger"),
    "bob": ("viewer", "viewer", "outsider"),
    "carol": ("viewer", "viewer", "viewer"),
    "dave": ("viewer", "viewer", "viewer"),
    "erin": ("viewer", "viewer", "outsider"),
    "frank": ("editor", "editor", "editor"),
    "grace": ("editor", "editor", "editor"),
    "heidi": ("viewer", "viewer", "viewer"),
    "alice": ("editor", "editor", "editor"),
    # an administrator manages all content, but opens only what others in their place could
    "admin": ("editor", "editor", "manager"),
}
