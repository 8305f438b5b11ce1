defmodule Sippet.Test.Terms do
  # Header fields of the documented shapes: one of each by hand, and as many as wanted drawn from a seed.
  @moduledoc false

  alias Sippet.URI

  @doc """
  Seeds what the process draws.
  """
  @spec seed(integer) :: :ok
  def seed(seed) do
    :rand.seed(:exsss, {seed, 5060, 3261})
    :ok
  end

  @doc """
  The bytes that a binary keeps in memory.
  """
  @spec referenced_bytes(binary) :: non_neg_integer
  def referenced_bytes(binary) do
    # OTP 27.3 tells in bits what is on a heap.
    unit = :binary.referenced_byte_size(String.duplicate("a", 1))
    bytes = :binary.referenced_byte_size(binary)
    if byte_size(binary) <= 64, do: div(bytes, unit), else: bytes
  end

  @doc """
  Every header field of the contract, and two others, with everything that its shape has.
  """
  @spec sample() :: map
  def sample do
    uri = URI.parse!("sip:alice:secret@atlanta.com:5070;transport=tcp?subject=a")
    address = {"Alice", uri, %{"tag" => "x", "flag" => ""}}
    auth = {"Digest", %{"realm" => "atlanta.com", "nonce" => "a1"}}

    %{
      :accept => [{{"application", "sdp"}, %{"level" => "1"}}],
      :accept_encoding => [{"gzip", %{"q" => "0.5"}}],
      :accept_language => [{"da", %{"q" => "0.8"}}],
      :alert_info => [{URI.parse!("http://www.example.com/moo.wav"), %{"x" => "y"}}],
      :allow => ["INVITE", "foo"],
      :authentication_info => %{"nextnonce" => "47", "qop" => "auth"},
      :authorization => [auth, {"Basic", %{"dXNlcg==" => ""}}],
      :call_id => "a84b4c76e66710@pc33.atlanta.com",
      :call_info => [{uri, %{"purpose" => "icon"}}],
      :contact => [address, {"", URI.parse!("tel:+1-201-555-0123;ext=5"), %{}}],
      :content_disposition => {"session", %{"handling" => "optional"}},
      :content_encoding => ["gzip"],
      :content_language => ["fr"],
      :content_length => 0,
      :content_type => {{"multipart", "mixed"}, %{"boundary" => "a b"}},
      :cseq => {1, "FOO"},
      :date => ~N[2010-11-13 23:29:00],
      :error_info => [{uri, %{"x" => "y"}}],
      :expires => 0,
      :from => address,
      :in_reply_to => ["70710@saturn.bell-tel.com"],
      :max_forwards => 70,
      :mime_version => {1, 0},
      :min_expires => 60,
      :organization => "Boxes by Bob",
      :p_asserted_identity => [address],
      :priority => "emergency",
      :proxy_authenticate => [auth],
      :proxy_authorization => [auth],
      :proxy_require => ["foo"],
      :reason => [{"SIP", %{"cause" => "200", "text" => "done"}}],
      :record_route => [{"", uri, %{"x" => "y"}}],
      :reply_to => address,
      :require => ["100rel"],
      :retry_after => {120, "in a meeting", %{"duration" => "60"}},
      :route => [{"Gate", URI.parse!("sip:[2001:db8::1]:5060;lr"), %{"x" => "y"}}],
      :server => "HomeServer v2",
      :subject => "a",
      :supported => ["100rel", "path"],
      :timestamp => {54.25, 0.5},
      :to => {"Bob", URI.parse!("urn:service:sos"), %{"tag" => "y"}},
      :unsupported => ["foo"],
      :user_agent => "Softphone Beta1.5",
      :via => [
        {{2, 0}, "XTCP", {"a.example", 5070}, %{"branch" => "z9hG4bK1", "received" => "::1"}}
      ],
      :warning => [{307, "isi.edu:5060", "not understood"}],
      :www_authenticate => [auth],
      "Session-Expires" => ["90;refresher=uac"],
      "X-Vendor" => ["a", "b"]
    }
  end

  @doc """
  Every way to replace one string in a term by what `change` makes of it: values, keys of maps, fields of structs.
  """
  @spec changed(term, (String.t() -> String.t())) :: [term]
  def changed(text, change) when is_binary(text), do: [change.(text)]
  def changed([], _change), do: []

  def changed([head | tail], change),
    do:
      for(head <- changed(head, change), do: [head | tail]) ++
        for(tail <- changed(tail, change), do: [head | tail])

  def changed(tuple, change) when is_tuple(tuple),
    do: for(list <- tuple |> Tuple.to_list() |> changed(change), do: List.to_tuple(list))

  def changed(%NaiveDateTime{}, _change), do: []

  def changed(%_struct{} = struct, change) do
    for {key, value} <- Map.from_struct(struct),
        value <- changed(value, change),
        do: Map.put(struct, key, value)
  end

  def changed(%{} = map, change) do
    for {key, value} <- map,
        {new_key, new_value} <-
          for(value <- changed(value, change), do: {key, value}) ++
            for(key <- changed(key, change), do: {key, value}),
        do: map |> Map.delete(key) |> Map.put(new_key, new_value)
  end

  def changed(_other, _change), do: []

  @doc """
  A value of the documented shape of a header field.
  """
  @spec draw(atom | String.t()) :: term
  def draw(header) do
    case header do
      name when is_binary(name) ->
        list(&text/0, 1)

      :accept ->
        list(&media/0)

      header when header in [:accept_encoding, :accept_language, :reason] ->
        list(&token_parameters/0)

      header when header in [:alert_info, :call_info, :error_info] ->
        list(fn -> {uri(), parameters()} end)

      header when header in [:allow, :content_encoding, :content_language] ->
        list(&token/0)

      header when header in [:proxy_require, :require, :supported, :unsupported] ->
        list(&token/0)

      :authentication_info ->
        Map.put(parameters(), "nonce", text())

      header when header in [:authorization, :proxy_authorization] ->
        list(&authentication/0)

      header when header in [:www_authenticate, :proxy_authenticate] ->
        list(&authentication/0)

      header when header in [:call_id, :priority] ->
        token()

      :contact ->
        if chance(5), do: "*", else: list(&address/0)

      header when header in [:route, :record_route] ->
        list(&address/0, 1)

      :p_asserted_identity ->
        list(&address/0)

      header when header in [:from, :to, :reply_to] ->
        address()

      :content_disposition ->
        token_parameters()

      header when header in [:expires, :min_expires] ->
        number()

      :max_forwards ->
        :rand.uniform(300)

      :content_type ->
        media()

      :cseq ->
        {number(), method()}

      :date ->
        date()

      :in_reply_to ->
        list(&token/0)

      :mime_version ->
        {number(), number()}

      header when header in [:organization, :server, :subject, :user_agent] ->
        text()

      :retry_after ->
        {number(), text(), parameters()}

      :timestamp ->
        {:rand.uniform() * number(), if(chance(2), do: 0.0, else: :rand.uniform())}

      :via ->
        list(fn -> {{2, 0}, protocol(), {host(), :rand.uniform(65_535)}, parameters()} end, 1)

      :warning ->
        list(fn -> {99 + :rand.uniform(901), token(), text()} end)
    end
  end

  defp list(draw, least \\ 0), do: for(_ <- 1..(least + :rand.uniform(4) - 1)//1, do: draw.())

  defp chance(of), do: :rand.uniform(of) == 1

  defp one_of(list), do: Enum.random(list)

  defp number do
    one_of([
      0,
      1,
      70,
      3600,
      0x7FFFFFFF,
      0x80000000,
      0xFFFFFFFF,
      0x100000000,
      :rand.uniform(100_000)
    ])
  end

  defp media, do: {{lower(token()), lower(token())}, parameters()}

  defp token_parameters, do: {token(), parameters()}

  defp authentication, do: {token(), parameters()}

  defp address, do: {text(), uri(), parameters()}

  defp method, do: if(chance(2), do: one_of([:invite, :ack, :options]), else: token())

  defp protocol, do: if(chance(2), do: one_of([:udp, :tcp, :tls, :ws]), else: token())

  @names ~w(tag branch received rport maddr ttl lr q expires text cause +sip.instance methods qop nc realm x)

  defp parameters do
    for _ <- 1..(:rand.uniform(4) - 1)//1, into: %{} do
      {if(chance(3), do: lower(token()), else: one_of(@names)),
       if(chance(4), do: "", else: text())}
    end
  end

  @doc """
  A URI in pieces, of a scheme that is parsed or of another; now and then one that is none.
  """
  @spec uri() :: URI.t()
  def uri do
    text =
      one_of([
        "sip:a.example",
        "sips:bob@biloxi.com:5061",
        "sip:alice:secret@[2001:db8::1]:5080;transport=tcp;lr?subject=a&to=b",
        "sip:+1;x=y@192.0.2.1:5060",
        "tel:+1-201-555-0123",
        "tel:7042;phone-context=example.com",
        "urn:service:sos",
        "http://a.example/b?c=d"
      ])

    uri = URI.parse!(text)

    case :rand.uniform(8) do
      1 -> %{uri | userinfo: text()}
      2 -> %{uri | host: host(), authority: nil}
      3 -> %{uri | parameters: ";" <> token()}
      4 -> %{uri | parameters: text()}
      5 -> %{uri | headers: "?" <> token() <> "=" <> token()}
      6 -> %{uri | headers: text()}
      7 -> %{uri | authority: text()}
      8 -> uri
    end
  end

  defp host, do: one_of(["a.example", "192.0.2.1", "2001:db8::1", "my_host", token(), text()])

  defp date do
    NaiveDateTime.new!(
      one_of([0, 1, 1970, 2000, 2024, 9999, :rand.uniform(9999)]),
      :rand.uniform(12),
      :rand.uniform(28),
      :rand.uniform(24) - 1,
      :rand.uniform(60) - 1,
      :rand.uniform(60) - 1
    )
  end

  @token Enum.concat([?a..?z, ?A..?Z, ?0..?9, ~c"-.!%*_+`'~"])

  @doc """
  A token, but for one in twenty.
  """
  @spec token() :: String.t()
  def token do
    if chance(20),
      do: text(),
      else: for(_ <- 1..:rand.uniform(6), into: "", do: <<one_of(@token)>>)
  end

  @doc """
  Any bytes, mostly those that mean something somewhere.
  """
  @spec text() :: binary
  def text do
    case :rand.uniform(8) do
      1 ->
        ""

      2 ->
        one_of([
          "[::1]",
          "::1",
          "192.0.2.1:5060",
          "a/b=c",
          "Jürgen",
          "大",
          "a b",
          " a",
          "a ",
          "*",
          "\"",
          "\\"
        ])

      3 ->
        bytes(:rand.uniform(8), fn -> :rand.uniform(256) - 1 end)

      4 ->
        one_of(["a\r\nVia: x", "a\nb", "a\rb", "a\0b", "\r\n\r\n", "\r\n b"])

      _ ->
        bytes(:rand.uniform(8), fn -> one_of(~c"abcXYZ019;,:=<>\"\\ \t@?&/()[]{}*%#+") end)
    end
  end

  defp bytes(count, draw), do: for(_ <- 1..count, into: "", do: <<draw.()>>)

  defp lower(text), do: String.downcase(text, :ascii)
end
