// What is shown in place of an answer: that it is on its way, or why there is none.

export function Answer({ of, what, children }) {
  if (of.error) {
    return <Problem error={of.error} what={what} retry={of.retry} />;
  }
  if (of.data === undefined) {
    return <p role="status">Loading {what} …</p>;
  }
  return children(of.data);
}

function Problem({ error, what, retry }) {
  const again = () => {
    // the button goes away, and the keyboard must be somewhere
    document.querySelector("main").focus();
    retry();
  };
  return (
    <div role="alert" className="problem">
      <p>
        {error.status === 401 ? "You are not signed in." : `Not loaded: ${what}. ${error.message}`}
      </p>
      {error.status === 401 && <SignIn address={error.content?.sign_in} />}
      <button type="button" onClick={again}>
        Try again
      </button>
    </div>
  );
}

function SignIn({ address }) {
  return (
    <p>
      {address ? <a href={address}>Sign in to Connect</a> : "Sign in to Connect"}, and then come
      back here.
    </p>
  );
}
