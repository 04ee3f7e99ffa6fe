import { useState } from "react";

import { useApi } from "./api.js";
import { Company } from "./Company.jsx";
import { Answer } from "./states.jsx";

export function App() {
  const user = useApi("user");
  return (
    <>
      <header>
        <h1>Companies and their earnings</h1>
        {user.data && <p>Signed in as {user.data.name}</p>}
      </header>
      <main tabIndex={-1}>
        <Answer of={user} what="who you are">
          {() => <Companies />}
        </Answer>
      </main>
      <footer>
        <a href="api_1_0/">The API behind this page</a>
      </footer>
    </>
  );
}

function Companies() {
  const companies = useApi("companies");
  const [choice, setChoice] = useChoice();
  return (
    <Answer of={companies} what="the companies">
      {({ items }) => {
        if (items.length === 0) {
          return <p>There are no companies yet. The command db_engine.py puts them in.</p>;
        }
        const company = items.find(({ id }) => String(id) === choice.company) ?? items[0];
        return (
          <>
            <label>
              Company
              <select
                value={company.id}
                onChange={(event) => setChoice({ company: event.target.value })}
              >
                {items.map(({ id, name }) => (
                  <option key={id} value={id}>
                    {name}
                  </option>
                ))}
              </select>
            </label>
            <Company
              key={company.id}
              id={company.id}
              year={choice.year}
              onYear={(year) => setChoice({ company: String(company.id), year })}
            />
          </>
        );
      }}
    </Answer>
  );
}

/** What is chosen, kept in the page's address: a reload and a link show the same. */
function useChoice() {
  const [choice, setChoice] = useState(() =>
    Object.fromEntries(new URLSearchParams(window.location.search)),
  );
  const choose = (choice) => {
    window.history.replaceState(null, "", `?${new URLSearchParams(choice)}`);
    setChoice(choice);
  };
  return [choice, choose];
}
